"""`kft ui`: a page in the browser for people who don't type, over the folder it was started in."""
