"""Documents as they are written: what is kept between them, and how each is spelt."""
