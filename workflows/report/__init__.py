"""Templates and plots of the HTML report."""
