"""What only building and testing needs: fetched programs, and the pages of docs/ that are written from code.

Nothing of it is in the wheel. It runs with the system's Python, before anything is installed.
"""
