"""Speech of a voice agent, to `vasa-cam live --source ws`: raw 16 kHz s16le mono by WebSocket.

Usage: voice_agent_ws.py PREVIEW_ADDRESS < speech.raw      (the address that vasa-cam live prints)
"""

import asyncio
import sys

import aiohttp


async def speak(page: str, speech: bytes) -> None:
    address = page.replace("/?", "/audio?")
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        for start in range(0, len(speech), 3200):  # 100 ms each; as fast as they are made
            await socket.send_bytes(speech[start : start + 3200])
        # To interrupt it, when the other side begins to speak: await socket.send_str("clear")


asyncio.run(speak(sys.argv[1], sys.stdin.buffer.read()))
