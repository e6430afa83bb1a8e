"""What a trained denoiser is used for, over whole records of any length: filling, scoring, drawing.

These functions know sequences and the diffusion mathematics; a network is only a callable to them.
"""
