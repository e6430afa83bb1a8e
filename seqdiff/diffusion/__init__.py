"""The mathematics of masked diffusion. It knows tensors, neither files nor networks.

A denoiser is any callable from tokens to logits over the K symbols (`denoise.py`). A process makes a training
loss of it, a sampler fills masks with it, a likelihood bounds how probable a sequence is under it.
"""
