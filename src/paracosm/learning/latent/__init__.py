"""Latent worlds: an encoder learned together with dynamics, reward and end rule of its beliefs."""
