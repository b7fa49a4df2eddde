"""What stands on the terminal while a version trains and when it has ended; and train.log, which keeps it."""
