"""What publishing a file would do, found out without doing it: the file is checked as a `candidate`, each customer meets it
in `foreseeing`, and `forecast` adds up."""
