"""The codec benchmark's parts; ``tests/bench/codec.py`` is the command.

cuts ──► features ──► stills (bits at equal KL)  ──┐
                 ├──► symbols (same symbols)       ├──► rows, summary, tables
vtest ─► frames ───► video (bits at equal KL)      │
                     floor (what memory allows)  ──┘
"""
