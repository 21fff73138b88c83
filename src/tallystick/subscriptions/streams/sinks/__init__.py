"""What streams are sent as: one module for each kind of receiver, codecs without I/O."""
