"""The kinds of adapter, a file each: what its files look like, what it goes with, and where its code is.

`schema.network.ADAPTERS` has a line for each; `kind.AdapterKind` says what such a line leads to.
"""
