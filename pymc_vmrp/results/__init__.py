"""What a fit returns: the variational posterior, DataTrees, and comparisons of them."""
