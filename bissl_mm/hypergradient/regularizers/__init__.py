"""What ties the two backbones at the lower level, and how strongly."""
