"""Views: what is learned from frozen features of labelled examples, each next to nothing once features are stored."""
