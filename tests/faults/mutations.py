from rich.console import Console


def main(console: Console, only: str) -> int:
    return 0
