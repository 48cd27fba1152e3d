"""One file per stage; stages meet only through artifacts."""
