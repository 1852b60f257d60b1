"""Campaign files: read with positions, checked strictly, turned into the domain's campaigns."""
