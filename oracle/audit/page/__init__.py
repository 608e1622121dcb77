"""An audit as one page for a browser, complete in itself: no network, the same bytes every time."""
