"""Where real data comes from: Gymnasium environments, data sets, JAX-native systems."""
