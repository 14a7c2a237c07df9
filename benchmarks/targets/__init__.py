"""Targets on published architectures: are the maps those of plain autograd?"""
