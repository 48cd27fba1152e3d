"""The torture of runs: killed, out of disk, damaged and side by side, they come to the same end."""
