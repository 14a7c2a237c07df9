"""The nets that the kit asks for, a file each: fixed weights, every activation and gradient in closed form."""
