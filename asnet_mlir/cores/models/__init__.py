"""From a core to the function that stands for it in software."""
