"""The peers' programs. They import none of the other modules of the bench, and run on packages of their own."""
