"""Where studies, trials and scores are kept: a PostgreSQL of one's own, or one given by its address."""
