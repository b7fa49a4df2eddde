"""What people read of a search and of versions side by side: live board, leaderboard, plots, comparisons."""
