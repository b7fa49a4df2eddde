"""The schedules of the learning rate, a file each: how one is built, which run it fits, what files call it.

`schema.optimizer.SCHEDULES` has a line for each; `kind.ScheduleKind` says what such a line leads to.
"""
