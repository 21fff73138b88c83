"""What followers keep of a log so that lists and searches are answered fast."""
