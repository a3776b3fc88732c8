"""From a bound network to a schedule, in both styles."""
