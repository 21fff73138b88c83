"""What somebody would write without Tallystick: plain services to be measured beside it."""
