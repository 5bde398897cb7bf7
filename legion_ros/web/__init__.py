"""The operator's web page: scene in 3-D, sentences in, replies, plots, latent space and health out."""
