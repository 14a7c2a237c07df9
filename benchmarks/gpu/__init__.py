"""Checks and figures on an accelerator; on the CPU, the checks alone say something."""
