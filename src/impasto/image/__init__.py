"""Pictures in and out: files on one side; B x 3 x H x W, float32, sRGB, [0, 1] on the other."""
