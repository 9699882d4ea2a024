"""What a fit says of its predictors: predictions, comparisons, slopes, effects by group."""
