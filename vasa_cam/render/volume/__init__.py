"""The volume renderer: VASA-1's kind of network, compatible with LivePortrait's public weights.

An appearance volume, warped by 21 keypoints, decoded to 512 x 512. torch is needed (the extra
`volume`) by every module but `config`, `crop`, `keypoints` and `driving`. See
docs/volume-renderer.md.
"""
