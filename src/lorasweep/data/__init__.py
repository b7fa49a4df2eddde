"""The data room: folders -> samples -> buckets -> cached latents and text -> the batch of each step.

`dataset.Dataset.build` is the door; the other modules are its parts and know nothing of each other's state.
Importing `lorasweep.data.plan` alone loads no torch, so that step counts can be shown before anything heavy
starts.
"""
