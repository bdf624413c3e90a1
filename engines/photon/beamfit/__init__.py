"""A beam from its physics, fast enough to be fitted: pencils of point kernels in water, sources, and their dose."""
