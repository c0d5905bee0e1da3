"""What an artifact answers with, here and where kft is not: kft/deploy/bundle.py makes its run.py of these files."""
