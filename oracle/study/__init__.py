"""The study: which rule, which panel, at which risk. It measures the core, it changes nothing."""
