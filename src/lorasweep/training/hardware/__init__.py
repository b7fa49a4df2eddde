"""Devices, precision, several processes, compiled blocks, and which parts may leave the device."""
