"""`python -m seqdiff` is the command `seqdiff`; torchrun starts it this way."""

from seqdiff.cli import main

if __name__ == "__main__":
    main()
