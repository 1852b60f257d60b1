"""Why customers are where they are and what would move them: `ways_out` judges every condition part by part, `by_time` lets
time alone go on, and `explanation` tells both."""
