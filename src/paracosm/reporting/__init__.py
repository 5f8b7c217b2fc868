"""One self-contained HTML page from records; renders, computes nothing."""
