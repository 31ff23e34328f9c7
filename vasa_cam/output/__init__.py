"""Where finished frames go: video files here; cameras and previews join them."""
