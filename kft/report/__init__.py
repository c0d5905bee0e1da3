"""What people look at: self-contained pages and the plots in them."""
