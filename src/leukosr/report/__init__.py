"""The report of a study: tables, figures and one self-contained HTML page, made from the stages' files."""
