"""Ways to compute evidence with the network at hand: a `Model` and pixels enter; evidence per class leaves."""
