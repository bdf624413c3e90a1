"""Planning as a policy does it: look at the dose, change some objectives, have the TPS optimise again, look again."""
