"""Queries over the rows of a job, and what runs them.

Job files come in over REST, and the SQL of polars reads any file that it is told to. So what a query may say is a
positive list: it is looked at word by word before polars sees it, and once more as a plan before it runs.
"""
