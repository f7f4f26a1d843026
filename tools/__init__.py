"""Programs that write the pages, pictures and numbers of the documentation."""
