-- A hundred purchases a request, each with an id of its own.
local n = 0
local thread_id = 0
local threads = 0
function setup(thread) thread:set("thread_id", threads); threads = threads + 1 end
function init(args) key = args[1] end
function request()
  local items = {}
  for i = 1, 100 do
    n = n + 1
    items[i] = string.format('{"id":"b-%d-%d","type":"purchase","customer_id":"c-%d","time":"2026-01-02T03:04:05Z",' ..
      '"data":{"order_id":"o-%d","amount":"129.90","currency":"BRL"}}', thread_id, n, n % 20000, n)
  end
  return wrk.format("POST", "/v1/events", {["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json"},
    "[" .. table.concat(items, ",") .. "]")
end
