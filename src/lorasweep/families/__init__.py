"""Base models: one file per family behind the protocol in `base.py`; `load.load_base` is the door."""
